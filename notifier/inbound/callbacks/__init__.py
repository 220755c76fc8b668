"""What providers tell us over HTTP: is it theirs, and what became of which message.

One module per provider; ``registry`` knows them all. Nothing here opens a connection or reads a clock.
"""
