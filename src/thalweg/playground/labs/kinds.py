"""The kinds of what a lab sends to the server."""

JSON_MESSAGE, FRAME_MESSAGE, ANSWER_MESSAGE = b"J", b"F", b"A"
"""The first byte of what a lab sends: a message for the page, a frame for it, an answer to the server."""
