"""What FixWurx's own programs plug in: executor, scheduling, bugs as they know them."""
