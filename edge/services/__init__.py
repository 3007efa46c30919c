"""The services that this edge serves: which one a request is for, and its revision in force."""
