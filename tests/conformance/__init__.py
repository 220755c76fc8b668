"""Run vectors taken from the tests of public alerting systems against our rules."""
