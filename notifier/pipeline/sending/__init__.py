"""Send what is due, once, and write down what came of it."""
