"""Is a family of one's own sound, and is there anything to adapt to?"""
