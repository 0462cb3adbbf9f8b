"""Corrections: facts that were wrong are voided by another fact, with reason and author, and told again as they should have been."""
