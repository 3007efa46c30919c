"""Tokens of operators and programs, one-time enrolment tokens, logins of the page."""
