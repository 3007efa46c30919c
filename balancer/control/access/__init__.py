"""Who is asking: tokens, logins, enrolment tokens, and the checks of their roles."""
