"""Answers of a folder that training wrote, as transformers gives them, beside the answers of `llavasharp generate`.

    ./build.sh peer check_answers MODEL QUESTIONS IMAGES --list N         # prints N lines: picture, tab, question
    ./build.sh peer check_answers MODEL QUESTIONS IMAGES --answers FILE   # compares; FILE has a line of `generate --json` for each

MODEL is a Hugging Face LLaVA folder, opened as it is: its own processor makes pixels and ids, and nothing is padded or patched
here. QUESTIONS is LLaVA's JSON with one question and its answer in each conversation; IMAGES is its image folder. N questions
are taken with equal steps over the file. A question counts as equal when ids of the prompt and the answer's text are the same.
Exits with 1 when a prompt's ids differ, when more than one answer in a hundred differs (two float32 libraries round apart, and
an answer may hang on the last bit), or when no picture was other than square.
Imports: torch, transformers, PIL.
"""
import argparse
import json
import sys
import warnings

SYSTEM = ("A chat between a curious user and an artificial intelligence assistant. "
          "The assistant gives helpful, detailed, and polite answers to the user's questions.")
LONGEST = 12


def choose(path, count):
    """[(picture, question, right answer)], with equal steps over the file."""
    samples = json.load(open(path, encoding="utf-8"))
    count = min(count, len(samples))
    chosen = [samples[i * len(samples) // count] for i in range(count)]
    return [(s["image"], s["conversations"][0]["value"].replace("<image>", "").strip(), s["conversations"][1]["value"]) for s in chosen]


class Reference:
    """The folder, opened once by transformers."""

    def __init__(self, folder):
        import torch
        from transformers import AutoProcessor, LlavaForConditionalGeneration
        warnings.simplefilter("ignore")
        self.torch = torch
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = LlavaForConditionalGeneration.from_pretrained(folder).float().eval()
        self.image = self.processor.tokenizer.convert_tokens_to_ids("<image>")

    def answer(self, picture, question):
        """(ids of the prompt with -200 for the picture's rows, text of the answer)."""
        text = f"{SYSTEM} USER: <image>\n{question} ASSISTANT:"
        inputs = self.processor(text=text, images=[picture], return_tensors="pt")
        ids = inputs["input_ids"][0].tolist()
        prompt = [-200 if i == self.image else i for k, i in enumerate(ids) if i != self.image or ids[k - 1] != self.image]
        with self.torch.no_grad():
            out = self.model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False)
        return prompt, self.processor.tokenizer.decode(out[0, len(ids):], skip_special_tokens=True).strip()


def compare(arguments):
    from PIL import Image
    answers = [json.loads(line) for line in open(arguments.answers, encoding="utf-8")]
    questions = choose(arguments.questions, len(answers))
    if len(questions) != len(answers):
        sys.exit(f"{len(answers)} answers, {len(questions)} questions")
    reference = Reference(arguments.model)
    same_ids = same = right = ours_right = oblong = 0
    for (name, question, gold), ours in zip(questions, answers):
        picture = Image.open(f"{arguments.images}/{name}").convert("RGB")
        prompt, text = reference.answer(picture, question)
        oblong += picture.size[0] != picture.size[1]
        same_ids += prompt == ours["input_ids"]
        same += text == ours["text"].strip()
        right += text == gold
        ours_right += ours["text"].strip() == gold
        if text != ours["text"].strip():
            print(f"differs: {name}: {question!r}: transformers {text!r}, llavasharp {ours['text']!r}, right {gold!r}")
    total = len(answers)
    print(f"{total} questions, {oblong} about pictures that are not square: ids of the prompt equal {same_ids}, "
          f"answers equal {same}, right in transformers {right}, right in llavasharp {ours_right}")
    return same_ids == total and (total - same) * 100 <= total and oblong > 0


def main():
    parser = argparse.ArgumentParser(description="answers in transformers beside those of llavasharp generate")
    parser.add_argument("model")
    parser.add_argument("questions")
    parser.add_argument("images")
    parser.add_argument("--list", type=int)
    parser.add_argument("--answers")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{name}\t{question}" for name, question, _ in choose(arguments.questions, arguments.list)))
        return
    sys.exit(0 if compare(arguments) else 1)


main()
