import numpy


class Alert:
    limit = 10

    def __call__(self, samples):
        _, lags, ages = numpy.array(samples[-6:]).T
        return numpy.logical_and(ages[-1] >= self.limit, len(lags) == 6 and lags[-1] >= lags[0])


wake = Alert()
