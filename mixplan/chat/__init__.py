"""Renders conversations by a model's chat template, held to the recipe's settings, and finds turns in the text."""

from mixplan.chat.hold import HeldTemplate, hold, model_template, prints_date
from mixplan.chat.places import Place, answer_place, question_place
from mixplan.chat.reasoning import final_answer, joined, parted, spoken_text
from mixplan.chat.refusal import remedy_for_turns
from mixplan.chat.template import PLAIN, ChatTemplate, Turns

__all__ = [
    "PLAIN",
    "ChatTemplate",
    "HeldTemplate",
    "Place",
    "Turns",
    "answer_place",
    "final_answer",
    "hold",
    "joined",
    "model_template",
    "parted",
    "prints_date",
    "question_place",
    "remedy_for_turns",
    "spoken_text",
]
