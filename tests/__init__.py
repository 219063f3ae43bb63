"""The tests of regsync; their folders mirror the rooms of the package."""
