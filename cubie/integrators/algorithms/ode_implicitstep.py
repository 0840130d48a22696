"""What implicit methods have in common: they iterate, and so go by the error that the tolerances allow."""

from typing_extensions import override

from cubie.cuda_factory import SettingsT
from cubie.integrators.algorithms.base_algorithm_step import AlgorithmStep
from cubie.odesystems.rate_function import RateFunction


class ImplicitStep(AlgorithmStep[SettingsT]):
    """A method whose stages are solutions of equations."""

    def __init__(self, settings: SettingsT, rate: RateFunction) -> None:
        super().__init__(settings, target=rate.target)
        self.rate = self.adopt("rate", rate)

    @property
    @override
    def weighs_errors(self) -> bool:
        return True
