"""Evaluation of students, teachers and bundles."""
