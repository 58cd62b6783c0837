"""What people read about a run: the report page and the model card.

page       writes the report; its sections come from tables, listeners, popularity, tags, changes
card       writes the model card of a revision
drawing    makes SVG elements of matplotlib figures; curves and forest draw with it
untrusted_text   cuts and escapes text from the data before it stands on a page
"""
