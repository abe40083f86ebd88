"""Text that a daemon or a build prints.

display_strings  every text of BuildKit's that we go by, with the line that prints it
plain_text       a build's words made fit to be repeated in an error
"""
