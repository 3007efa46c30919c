"""Sites: edges behind one router."""
