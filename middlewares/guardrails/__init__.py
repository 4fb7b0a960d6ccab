"""What no answer should hold and no request should carry: rules, and the stage that applies them."""
