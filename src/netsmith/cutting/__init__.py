"""Cutting: from scores and a budget to a smaller network that is proved equal to the masked original."""
