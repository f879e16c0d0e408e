"""What a lesson needs beside the brokers: predictions, exercises, tables, the course map.

Everything shown has a fixed text and a fixed HTML form, so a saved notebook reads well without a kernel and
its outputs can be compared strictly.
"""

from labkit.lessons.course import Course, Lesson, course_map, read_course
from labkit.lessons.done import done
from labkit.lessons.exercise import Exercise, exercise
from labkit.lessons.prediction import Prediction, predict
from labkit.lessons.reading import LAST, answer_of, read, take, wait_for
from labkit.lessons.ready import ready
from labkit.lessons.shown import Shown, edit_source, show_source, table

__all__ = [
    "LAST",
    "Course",
    "Exercise",
    "Lesson",
    "Prediction",
    "Shown",
    "answer_of",
    "course_map",
    "done",
    "edit_source",
    "exercise",
    "predict",
    "read",
    "read_course",
    "ready",
    "show_source",
    "table",
    "take",
    "wait_for",
]
