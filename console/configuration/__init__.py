"""Configuration as it is edited in the page: text, form, checks, differences, push. No NiceGUI in here."""
