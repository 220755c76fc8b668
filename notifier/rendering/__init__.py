"""Turn a template and its context into a message's subject, HTML and text. Pure: no database, no network."""
