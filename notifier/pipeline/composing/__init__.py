"""Write a message: open its job, ask whether it may go, render, address, sign, and keep what it said."""
