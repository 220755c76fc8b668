"""How well bounces are read: a score over folders of labelled mails."""
