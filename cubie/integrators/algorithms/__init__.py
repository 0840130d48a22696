"""Methods: tableaus as data, and one generic body for each family of them."""
