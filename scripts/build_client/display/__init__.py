"""Shows a build to a person, or to a program that reads along.

view        which of the views it is: a terminal's, plain lines, the builder's documents, or nothing
live        on a terminal: finished steps scroll away, running ones are drawn below
plain       every line of the log; the builder's documents, one a line; nothing at all
frame       Pure. What the running steps look like
style       what a terminal can show
steps       Pure. Log lines to steps with a state
summary     Pure. How a build ended, and what is left to be said at the end
build_list  Pure. Builds told of from afar, and the ways on to them
"""

from .steps import State, Step, Steps
from .style import Style
from .view import View, view

__all__ = ["State", "Step", "Steps", "Style", "View", "view"]
