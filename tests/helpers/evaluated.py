"""Builds rows and models for the tests of evaluation: small enough to check by hand."""

from mixplan.domains import Domain, Row
from mixplan.domains.choice import render
from mixplan.domains.duplicates import content_key
from mixplan.model import load_model
from mixplan.recipe import ColumnsSpec, DataSpec, DomainSpec, ModelSpec, SaeSpec

OPTIONS = (("red fox", "lazy dog", "brown"), ("42", "a sum of 12 and 30"), ("fever", "cough", "doctor", "the"))
QUESTIONS = ("What jumps?", "The sum?", "What is the right answer of these, which of them, patient?")


def spec_of(name, **changes):
    return ModelSpec(name=str(name), sae=SaeSpec(embedded=True), **{"dtype": "float32", "device": "cpu", **changes})


def loaded(folder, **changes):
    return load_model(spec_of(folder, **changes))


def choice_rows(count=3):
    rows = []
    for number in range(count):
        question, options = f"{QUESTIONS[number % 3]} {number}", OPTIONS[number % 3]
        gold = number % len(options)
        prompt = (("user", render(question, options)),)
        key = content_key((("user", question),), options)
        answer = f"{'ABCD'[gold]}. {options[gold]}"
        rows.append(Row(f"test:{number}", key, prompt, answer, options=options, gold=gold))
    return tuple(rows)


def asked_rows(count=4):
    rows = []
    for number in range(count):
        prompt = (("user", f"what is {number} and {number * 7 % 13} ?" + " the lazy dog" * (number % 3)),)
        rows.append(Row(f"test:{number}", content_key(prompt), prompt, f"the answer is {number}"))
    return tuple(rows)


def domain_of(name, rows, *, grader=None, **changes):
    shape = "choice" if rows and rows[0].options else "question_answer"
    columns = {"choice": ColumnsSpec(question="question", options="options", answer="answer"),
               "question_answer": ColumnsSpec(question="q", answer="a")}  # fmt: skip
    given = {"data": DataSpec(file="rows.jsonl"), "format": shape, "columns": columns[shape]}
    grader = grader or ("choice" if shape == "choice" else "exact")
    return Domain(name, DomainSpec(**{**given, **changes}), grader, rows, (), (), (), len(rows))


class Told:
    """A watcher that keeps what it is told."""

    def __init__(self):
        self.said, self.stages, self.done = [], [], 0

    def stage(self, name, total, unit):
        self.stages.append((name, total, unit))

    def advance(self, amount):
        self.done += amount

    def say(self, text):
        self.said.append(text)
