"""Asks llama.cpp what our engine was asked, and compares the tokens of prompt and answer.

    llavasharp convert --from MODEL --to GGUF --layout gguf --dtype f32
    llavasharp generate --model MODEL --image IMAGE --prompt TEXT --template v1 --max_new_tokens 8 --json > ANSWER
    ./build.sh peer check_gguf GGUF ANSWER --image IMAGE --prompt TEXT [--tokens 8]

IMAGE must be a square of the tower's own size, so that nobody resizes it. Prints one line a check, exits with 1 if one fails.
Needs llama-server on the PATH; imports nothing beyond Python's own library.
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

SYSTEM = ("A chat between a curious user and an artificial intelligence assistant. "
          "The assistant gives helpful, detailed, and polite answers to the user's questions.")


class Server:
    """llama-server on a free port of this machine."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (model,), (projector,) = (glob.glob(f"{folder}/{name}-*.gguf") for name in ("model", "mmproj"))
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            ["llama-server", "-m", model, "--mmproj", projector, "--host", "127.0.0.1", "--port", str(self.port),
             "-c", "1024", "-t", "2", "-np", "1", "--no-warmup"], stdout=self.log, stderr=subprocess.STDOUT)

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


def main():
    parser = argparse.ArgumentParser(description="compares llama.cpp's greedy answer with ours")
    parser.add_argument("folder")
    parser.add_argument("answer")
    parser.add_argument("--image", required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--tokens", type=int, default=8)
    arguments = parser.parse_args()
    with open(arguments.answer, encoding="utf-8") as file:
        ours = json.load(file)
    with open(arguments.image, "rb") as file:
        image = base64.b64encode(file.read()).decode()
    before, after = f"{SYSTEM} USER: ", f"\n{arguments.prompt} ASSISTANT:"
    server, failures = Server(arguments.folder), 0
    try:
        server.wait()
        if "chat_template" in server.get("props"):
            failures += report("template", before + "Q ASSISTANT:", server.get(
                "apply-template", {"messages": [{"role": "user", "content": "Q"}]})["prompt"])
        marker = server.get("props").get("media_marker", "<__media__>")
        theirs = server.tokenize(before, True) + [-200] + server.tokenize(after, False)
        failures += report("prompt", ours["input_ids"], theirs)
        reply = server.get("completion", {
            "prompt": {"prompt_string": before + marker + after, "multimodal_data": [image]}, "n_predict": arguments.tokens,
            "temperature": 0, "top_k": 1, "repeat_penalty": 1, "return_tokens": True, "cache_prompt": False, "seed": 0})
        count = min(arguments.tokens, len(ours["output_ids"]))
        failures += report("answer", ours["output_ids"][:count], reply["tokens"][:count])
    finally:
        server.process.terminate()
        server.process.wait()
    sys.exit(1 if failures else 0)


def report(name, ours, theirs):
    if ours == theirs and ours:
        print(f"ok    {name}: {len(ours)} {'characters' if isinstance(ours, str) else 'tokens'} are equal")
        return 0
    print(f"FAIL  {name}: ours {ours}, llama.cpp {theirs}")
    return 1


main()
