"""What a lesson needs beside the brokers: predictions, exercises, sliders, recipes, tables, the course map.

Everything shown has a fixed text and a fixed HTML form, so a saved notebook reads well without a kernel and
its outputs can be compared strictly.
"""

from labkit.lessons.course import Course, Lesson, read_course
from labkit.lessons.course_map import course_map
from labkit.lessons.dials import Dial, Dials, dials
from labkit.lessons.done import done
from labkit.lessons.exercise import Exercise, exercise
from labkit.lessons.prediction import NumberPrediction, Prediction, predict, predict_number
from labkit.lessons.promises import promises
from labkit.lessons.reading import LAST, answer_of, read, take, wait_for
from labkit.lessons.ready import ready
from labkit.lessons.recipes import Recipes, show_recipes
from labkit.lessons.shown import Shown, edit_source, show_source, table

__all__ = [
    "LAST",
    "Course",
    "Dial",
    "Dials",
    "Exercise",
    "Lesson",
    "NumberPrediction",
    "Prediction",
    "Recipes",
    "Shown",
    "answer_of",
    "course_map",
    "dials",
    "done",
    "edit_source",
    "exercise",
    "predict",
    "predict_number",
    "promises",
    "read",
    "read_course",
    "ready",
    "show_recipes",
    "show_source",
    "table",
    "take",
    "wait_for",
]
