"""Asks llama.cpp what our engine was asked, and compares prompt, log-probabilities and answer.

    llavasharp convert --from MODEL --to GGUF --layout gguf --dtype f32
    llavasharp generate --model MODEL --image IMAGE --prompt TEXT --template v1 --max_new_tokens 8 --json > ANSWER
    ./build.sh peer check_gguf GGUF ANSWER --model MODEL --image IMAGE --prompt TEXT [--tokens 8]

IMAGE must be a square of the tower's own size, so that nobody resizes it. Log-probabilities of the whole vocabulary are held to
transformers' on MODEL at each token that llama.cpp answers: without a picture to rounding, with one to what ggml's half-precision
GELU leaves. llama.cpp since May 2025 lays the tower's class token behind the patches, with everyone's position moved by one, and
hands its row on in place of the first patch's (issue 25814 there). Where the peer does that, transformers is made to do it too, and
the answer is held to that; a line says so. Prints one line a check, exits with 1 if one fails. Needs llama-server on the PATH.
Imports: torch, transformers, Pillow.
"""
import argparse
import base64
import glob
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time

import PIL.Image
import torch
from transformers import CLIPImageProcessor, LlavaForConditionalGeneration

SYSTEM = ("A chat between a curious user and an artificial intelligence assistant. "
          "The assistant gives helpful, detailed, and polite answers to the user's questions.")
TEXT_BOUND, PICTURE_BOUND = 1e-4, 5e-3


class Server:
    """llama-server on a free port of this machine, with float32 caches."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (model,), (projector,) = (glob.glob(f"{folder}/{name}-*.gguf") for name in ("model", "mmproj"))
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            ["llama-server", "-m", model, "--mmproj", projector, "--host", "127.0.0.1", "--port", str(self.port), "-c", "1024",
             "-t", "2", "-np", "1", "--no-warmup", "-ctk", "f32", "-ctv", "f32", "-fa", "off"],
            stdout=self.log, stderr=subprocess.STDOUT)

    def wait(self):
        for _ in range(240):
            if self.process.poll() is not None:
                break
            try:
                return self.get("health")
            except OSError:
                time.sleep(0.5)
        self.log.seek(0)
        raise RuntimeError("llama-server did not start:\n" + self.log.read()[-3000:])

    def get(self, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET" if body is None else "POST", f"/{path}", None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise OSError(f"{path}: {answer.status} {text[:500]!r}")
        return json.loads(text)

    def tokenize(self, text, first):
        return self.get("tokenize", {"content": text, "add_special": first, "parse_special": True})["tokens"]

    def complete(self, prompt, count, vocabulary):
        """The greedy answer's tokens, and for each the log-probabilities by id; none where a token is half a character."""
        reply = self.get("completion", {
            "prompt": prompt, "n_predict": count, "temperature": 0, "top_k": 1, "repeat_penalty": 1, "return_tokens": True,
            "cache_prompt": False, "seed": 0, "n_probs": vocabulary})
        given, rows = reply["completion_probabilities"], []
        for token in reply["tokens"]:
            row = given.pop(0) if given and given[0]["id"] == token else {"top_logprobs": []}
            rows.append({entry["id"]: entry["logprob"] for entry in row["top_logprobs"]})
        return reply["tokens"], rows


class Reference:
    """transformers' model, which can be told to lay the class token behind the patches."""

    def __init__(self, folder, image):
        self.model = LlavaForConditionalGeneration.from_pretrained(folder).float().eval()
        config = self.model.config
        token = getattr(config, "image_token_index", None)
        self.marker = config.image_token_id if token is None else token
        self.rows = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
        self.pixels = CLIPImageProcessor.from_pretrained(folder, do_pad=False)(
            PIL.Image.open(image).convert("RGB"), return_tensors="pt")["pixel_values"]
        self.embeddings = next(module for module in self.model.modules() if type(module).__name__ == "CLIPVisionEmbeddings")
        self.class_first = self.embeddings.forward

    def class_last(self, pixel_values, **_):
        patches = self.embeddings.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        return torch.cat([patches, self.embeddings.class_embedding.expand(1, 1, -1)], 1) + self.embeddings.position_embedding.weight

    def order(self, last):
        self.embeddings.forward = self.class_last if last else self.class_first

    def next_token(self, ids):
        """Log-probabilities of what follows ids, in which -200 is the picture."""
        tokens = [token for i in ids for token in ([self.marker] * self.rows if i == -200 else [i])]
        with torch.no_grad():
            logits = self.model(input_ids=torch.tensor([tokens]), pixel_values=self.pixels if -200 in ids else None).logits
        return torch.log_softmax(logits[0, -1], 0)

    def distance(self, ids, answer, rows):
        """The largest difference of a log-probability along the answer."""
        ids, worst = list(ids), 0.0
        for token, theirs in zip(answer, rows):
            ours = self.next_token(ids)
            worst = max([worst] + [abs(ours[i].item() - value) for i, value in theirs.items() if i < len(ours) and value > -50])
            ids.append(token)
        return worst

    def greedy(self, ids, count):
        ids = list(ids)
        for _ in range(count):
            ids.append(int(self.next_token(ids).argmax()))
        return ids[-count:]


def main():
    parser = argparse.ArgumentParser(description="compares llama.cpp's greedy answer with ours")
    parser.add_argument("folder")
    parser.add_argument("answer")
    parser.add_argument("--model", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--tokens", type=int, default=8)
    arguments = parser.parse_args()
    with open(arguments.answer, encoding="utf-8") as file:
        ours = json.load(file)
    reference, server = Reference(arguments.model, arguments.image), Server(arguments.folder)
    try:
        server.wait()
        failures = compare(arguments, ours, reference, server)
    finally:
        server.process.terminate()
        server.process.wait()
    sys.exit(1 if failures else 0)


def compare(arguments, ours, reference, server):
    with open(arguments.image, "rb") as file:
        image = base64.b64encode(file.read()).decode()
    failures, vocabulary = 0, reference.model.get_input_embeddings().weight.shape[0]
    before, after = f"{SYSTEM} USER: ", f"\n{arguments.prompt} ASSISTANT:"
    properties = server.get("props")
    if "chat_template" in properties:
        failures += report("template", before + "Q ASSISTANT:", server.get(
            "apply-template", {"messages": [{"role": "user", "content": "Q"}]})["prompt"])
    ids = server.tokenize(before, True) + [-200] + server.tokenize(after, False)
    failures += report("prompt", ours["input_ids"], ids)

    text = before + arguments.prompt
    answer, rows = server.complete(text, arguments.tokens, vocabulary)
    failures += bounded("text alone", reference.distance(server.tokenize(text, True), answer, rows), TEXT_BOUND)

    marker = properties.get("media_marker", "<__media__>")
    answer, rows = server.complete({"prompt_string": before + marker + after, "multimodal_data": [image]}, arguments.tokens, vocabulary)
    distances = {}
    for last in (False, True):
        reference.order(last)
        distances[last] = reference.distance(ids, answer, rows)
    last = distances[True] < distances[False]
    reference.order(last)
    if last:
        print(f"note  this llama.cpp lays the class token last: {distances[False]:.3g} from the model, "
              f"{distances[True]:.3g} from the model with its rows so moved")
    failures += bounded("with the picture", distances[last], PICTURE_BOUND)
    count = min(arguments.tokens, len(ours["output_ids"]))
    expected = reference.greedy(ids, count) if last else ours["output_ids"][:count]
    if last:
        same = next((i for i, (one, two) in enumerate(zip(ours["output_ids"], answer)) if one != two), min(count, len(answer)))
        print(f"note  the first {same} of our own {count} tokens are llama.cpp's all the same")
    return failures + report("answer", expected, answer[:count])


def bounded(name, value, bound):
    print(f"{'ok   ' if value <= bound else 'FAIL '} {name}: log-probabilities within {value:.2g} (bound {bound:g})")
    return 0 if value <= bound else 1


def report(name, ours, theirs):
    if ours == theirs and ours:
        print(f"ok    {name}: {len(ours)} {'characters' if isinstance(ours, str) else 'tokens'} are equal")
        return 0
    print(f"FAIL  {name}: ours {ours}, llama.cpp {theirs}")
    return 1


main()
