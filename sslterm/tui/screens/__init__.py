"""Screens: which widgets are shown, what keys do, and when something is drawn anew."""
