"""What vendors do differently: one small module each, and which one a host belongs to."""
