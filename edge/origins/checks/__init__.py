"""Active health checks of origins: what one check is, what makes an origin ill, and when each is due."""
