"""Reading small languages."""
