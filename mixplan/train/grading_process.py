"""Answers in, scores out of a child process, under the name by which jobs started before the move still call it."""

from mixplan.grading.process import main

if __name__ == "__main__":
    main()
