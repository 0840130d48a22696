"""What can be wrong with a model: each its own error, which names the culprit and says what to write instead."""


class ModelError(ValueError):
    """A model that can't be used as it is written."""


class EquationSyntaxError(ModelError):
    """Text that isn't an equation of the model language."""


class ForbiddenSyntaxError(EquationSyntaxError):
    """Text that may be Python but isn't part of the model language: attributes, indexing, strings, lambda, ..."""


class InvalidNameError(ModelError):
    """A declared name that no equation could use."""


class InvalidValueError(ModelError):
    """A default or a constant that isn't one finite number, or that the precision can't hold."""


class DuplicateNameError(ModelError):
    """Two declarations or two equations for one name (after Unicode's NFKC, as in Python)."""


class UnknownSymbolError(ModelError, LookupError):
    """A name that nothing declares or defines."""


class UnknownFunctionError(UnknownSymbolError):
    """A call of something that the model language doesn't have."""


class UnusedNameError(ModelError):
    """A parameter, constant or auxiliary that nothing uses: most often a misspelling elsewhere."""


class CyclicAuxiliaryError(ModelError):
    """Auxiliary lines that need each other's values."""


class ShadowedStateError(ModelError):
    """An observable or an auxiliary line with the name of a state."""


class MissingEquationError(ModelError):
    """A state without an equation for its rate."""


class ExpressionTooDeepError(ModelError):
    """An expression nested deeper than the bound."""


class ExpressionTooLongError(ModelError):
    """Text, an expression or a whole model longer than the bound."""


class ExponentTowerError(ModelError):
    """Powers of powers of powers, or a number too large for an exponent."""


class TracingError(ModelError, TypeError):
    """A Python function that can't be turned into a model by running it once with symbols."""


class BranchOnValueError(TracingError):
    """A Python function that asks which branch to take of a value that is known only at run time."""


class SideEffectError(TracingError):
    """A Python function that reads or writes something besides its arguments: I/O, state, random numbers."""
