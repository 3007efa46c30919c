"""How edges are: what they say, what their peers see, and what follows. Read `judgement.py` first."""
