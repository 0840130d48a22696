"""What implicit methods have in common: they solve equations of the right-hand side."""

from cubie.cuda_factory import SettingsT
from cubie.integrators.algorithms.base_algorithm_step import AlgorithmStep
from cubie.odesystems.rate_function import RateFunction


class ImplicitStep(AlgorithmStep[SettingsT]):
    """A method whose stages are solutions of equations."""

    def __init__(self, settings: SettingsT, rate: RateFunction) -> None:
        super().__init__(settings, target=rate.target)
        self.rate = self.adopt("rate", rate)
