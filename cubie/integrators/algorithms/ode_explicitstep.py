"""What explicit methods have in common: they call the right-hand side, and solve nothing."""

from cubie.cuda_factory import SettingsT
from cubie.integrators.algorithms.base_algorithm_step import AlgorithmStep
from cubie.odesystems.rate_function import RateFunction


class ExplicitStep(AlgorithmStep[SettingsT]):
    """A method whose stages are evaluations of the right-hand side, one after the other."""

    def __init__(self, settings: SettingsT, rate: RateFunction) -> None:
        super().__init__(settings, target=rate.target)
        self.rate = self.adopt("rate", rate)
