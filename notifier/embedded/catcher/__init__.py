"""A mail catcher: takes every mail, shows it on a page, and misbehaves on request.

Stands in for the world's mail servers in the demo and in tests; delivers nothing.
"""
