"""`vstore ui`: one local page to search a store, judge results, and see how it fares. HTML made here, no framework.

serve -> guard (who may ask) -> app (routes) -> ask | pages (one call of the store each) -> shape -> templates.
"""
