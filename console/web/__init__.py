"""The foundation of all pages: server, access, sessions, shell, texts, theme."""
