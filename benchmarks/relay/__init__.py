"""What a relay costs beside the tunnel that it is."""
