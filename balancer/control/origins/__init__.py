"""The origins of services, as edges report them."""
