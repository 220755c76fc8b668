"""Keep alerts in step with what is heard of them, and take what people do about them."""
