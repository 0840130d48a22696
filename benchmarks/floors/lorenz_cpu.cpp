// The Lorenz system over many values of rho, by hand: GCC's vector extensions, a run a lane, all threads, nothing
// general. A shared library with two functions, `solve_float32` and `solve_float64`.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "tableaus.h"

namespace {

#if defined(__AVX512F__)
constexpr int register_bytes = 64;
#elif defined(__AVX__)
constexpr int register_bytes = 32;
#else
constexpr int register_bytes = 16;
#endif
constexpr int success = 0, max_steps_reached = 2, step_too_small = 3, non_finite = 4;
constexpr int budget = 100000, runs_at_once = 256, patience = 2;  // patience: in steps, what a start costs

template <class Real>
using Register [[gnu::vector_size(register_bytes)]] = Real;
template <class Real>
using Flags = decltype(Register<Real>{} < Register<Real>{});  // integers of the same size, all bits set for true
template <class Real>
constexpr int per_register = register_bytes / sizeof(Real);

// One number of every run of a group, in `n` registers; the same of integers and truths.
template <class Real, int n>
struct Lanes {
    Register<Real> part[n];
};
template <class Real, int n>
struct Mask {
    Flags<Real> part[n];
};

#define EACH(...)                                                     \
    _Pragma("GCC unroll 8") for (int i = 0; i < n; ++i) __VA_ARGS__; \
    return answer

template <class Real, int n>
inline Lanes<Real, n> all(Real value) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = Register<Real>{} + value);
}
template <class Real, int n>
inline Lanes<Real, n> operator+(const Lanes<Real, n>& a, const Lanes<Real, n>& b) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = a.part[i] + b.part[i]);
}
template <class Real, int n>
inline Lanes<Real, n> operator-(const Lanes<Real, n>& a, const Lanes<Real, n>& b) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = a.part[i] - b.part[i]);
}
template <class Real, int n>
inline Lanes<Real, n> operator*(const Lanes<Real, n>& a, const Lanes<Real, n>& b) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = a.part[i] * b.part[i]);
}
template <class Real, int n>
inline Lanes<Real, n> operator/(const Lanes<Real, n>& a, const Lanes<Real, n>& b) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = a.part[i] / b.part[i]);
}
template <class Real, int n>
inline Mask<Real, n> at_most(const Lanes<Real, n>& a, const Lanes<Real, n>& b) {
    Mask<Real, n> answer;
    EACH(answer.part[i] = a.part[i] <= b.part[i]);
}
template <class Real, int n>
inline Mask<Real, n> operator&(const Mask<Real, n>& a, const Mask<Real, n>& b) {
    Mask<Real, n> answer;
    EACH(answer.part[i] = a.part[i] & b.part[i]);
}
template <class Real, int n>
inline Mask<Real, n> operator|(const Mask<Real, n>& a, const Mask<Real, n>& b) {
    Mask<Real, n> answer;
    EACH(answer.part[i] = a.part[i] | b.part[i]);
}
template <class Real, int n>
inline Mask<Real, n> operator+(const Mask<Real, n>& a, const Mask<Real, n>& b) {
    Mask<Real, n> answer;
    EACH(answer.part[i] = a.part[i] + b.part[i]);
}
template <class Real, int n>
inline Mask<Real, n> operator-(const Mask<Real, n>& a, const Mask<Real, n>& b) {
    Mask<Real, n> answer;
    EACH(answer.part[i] = a.part[i] - b.part[i]);
}
template <class Real, int n>
inline Lanes<Real, n> select(const Mask<Real, n>& mask, const Lanes<Real, n>& a, const Lanes<Real, n>& b) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = mask.part[i] ? a.part[i] : b.part[i]);
}
template <class Real, int n>
inline Mask<Real, n> select(const Mask<Real, n>& mask, const Mask<Real, n>& a, const Mask<Real, n>& b) {
    Mask<Real, n> answer;
    EACH(answer.part[i] = mask.part[i] ? a.part[i] : b.part[i]);
}
// a*b + c, contracted
template <class Real, int n>
inline Lanes<Real, n> fma(const Lanes<Real, n>& a, const Lanes<Real, n>& b, const Lanes<Real, n>& c) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = a.part[i] * b.part[i] + c.part[i]);
}
template <class Real, int n>
inline Lanes<Real, n> larger(const Lanes<Real, n>& a, const Lanes<Real, n>& b) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = a.part[i] > b.part[i] ? a.part[i] : b.part[i]);
}
template <class Real, int n>
inline Lanes<Real, n> smaller(const Lanes<Real, n>& a, const Lanes<Real, n>& b) {
    Lanes<Real, n> answer;
    EACH(answer.part[i] = a.part[i] < b.part[i] ? a.part[i] : b.part[i]);
}
template <class Real, int n>
inline Lanes<Real, n> absolute(const Lanes<Real, n>& a) {
    constexpr auto bits = sizeof(Real) == 4 ? INT64_C(0x7fffffff) : INT64_C(0x7fffffffffffffff);
    Lanes<Real, n> answer;
    EACH(answer.part[i] = (Register<Real>)((Flags<Real>)a.part[i] & (Flags<Real>{} + bits)));
}
template <class Real, int n>
inline bool any(const Mask<Real, n>& mask) {
    Flags<Real> bits = mask.part[0];
    for (int i = 1; i < n; ++i) bits |= mask.part[i];
#ifdef __AVX512F__
    return _mm512_test_epi64_mask((__m512i)bits, (__m512i)bits) != 0;
#else
    std::uint64_t words[register_bytes / 8], found = 0;
    std::memcpy(words, &bits, register_bytes);
    for (const auto word : words) found |= word;
    return found != 0;
#endif
}

template <class Real, int n>
inline int count(const Mask<Real, n>& mask) {
    int found = 0;
#ifdef __AVX512DQ__
    for (int i = 0; i < n; ++i) {
        const auto bits = (__m512i)mask.part[i];
        found += __builtin_popcount(sizeof(Real) == 4 ? _mm512_movepi32_mask(bits) : _mm512_movepi64_mask(bits));
    }
#else
    for (int i = 0; i < n; ++i) {
        for (int lane = 0; lane < per_register<Real>; ++lane) found -= static_cast<int>(mask.part[i][lane]);
    }
#endif
    return found;
}

template <class Real>
constexpr int mantissa_bits = sizeof(Real) == 4 ? 23 : 52;

// Good to 1e-7, more than a step's length needs: atanh's series about 1, for a mantissa in [sqrt(1/2), sqrt(2)).
template <class Real, int n>
inline Lanes<Real, n> log2(const Lanes<Real, n>& x) {
    constexpr auto root = sizeof(Real) == 4 ? INT64_C(0x3f3504f3) : INT64_C(0x3fe6a09e667f3bcd);
    constexpr Real c1 = 2.885390081777927, c3 = c1 / 3, c5 = c1 / 5, c7 = c1 / 7;
    Lanes<Real, n> answer;
    EACH({
        const Flags<Real> bits = (Flags<Real>)x.part[i], exponent = (bits - root) >> mantissa_bits<Real>;
        const auto mantissa = (Register<Real>)(bits - (exponent << mantissa_bits<Real>));
        const Register<Real> ratio = (mantissa - 1) / (mantissa + 1), square = ratio * ratio;
        const Register<Real> series = ((c7 * square + c5) * square + c3) * square + c1;
        answer.part[i] = ratio * series + __builtin_convertvector(exponent, Register<Real>);
    });
}

// Good to 2e-7 for |x| < 64: Taylor's series about the nearest integer.
template <class Real, int n>
inline Lanes<Real, n> exp2(const Lanes<Real, n>& x) {
    constexpr Real c1 = 0.6931471805599453, c2 = c1 * c1 / 2, c3 = c2 * c1 / 3, c4 = c3 * c1 / 4, c5 = c4 * c1 / 5;
    constexpr Real c6 = c5 * c1 / 6, half_up = 64.5;
    Lanes<Real, n> answer;
    EACH({
        const Flags<Real> whole = __builtin_convertvector(x.part[i] + half_up, Flags<Real>) - 64;
        const Register<Real> rest = x.part[i] - __builtin_convertvector(whole, Register<Real>);
        const Register<Real> series =
            (((((c6 * rest + c5) * rest + c4) * rest + c3) * rest + c2) * rest + c1) * rest + 1;
        answer.part[i] = (Register<Real>)((Flags<Real>)series + (whole << mantissa_bits<Real>));
    });
}

template <class Real, int n>
inline Lanes<Real, n> root(const Lanes<Real, n>& x) {
    Lanes<Real, n> answer = x;
    EACH({
        _Pragma("GCC unroll 16") for (int lane = 0; lane < per_register<Real>; ++lane)
            answer.part[i][lane] = std::sqrt(x.part[i][lane]);
    });
}

template <class Real, int n>
struct Vector {
    Lanes<Real, n> x, y, z;
};

template <class Real, int n>
inline Vector<Real, n> rate(const Vector<Real, n>& s, const Lanes<Real, n>& rho) {
    const auto sigma = all<Real, n>(10), beta = all<Real, n>(Real(8.0 / 3.0));
    return {sigma * (s.y - s.x), s.x * (rho - s.z) - s.y, s.x * s.y - beta * s.z};
}
// s + h*k
template <class Real, int n>
inline Vector<Real, n> along(const Vector<Real, n>& s, const Lanes<Real, n>& h, const Vector<Real, n>& k) {
    return {fma(h, k.x, s.x), fma(h, k.y, s.y), fma(h, k.z, s.z)};
}
template <class Real, int n>
inline Vector<Real, n> along(const Vector<Real, n>& s, double h, const Vector<Real, n>& k) {
    return along(s, all<Real, n>(Real(h)), k);
}
template <class Real, int n>
inline Vector<Real, n> times(double c, const Vector<Real, n>& k) {
    const auto factor = all<Real, n>(Real(c));
    return {factor * k.x, factor * k.y, factor * k.z};
}
template <class Real, int n>
inline Vector<Real, n> select(const Mask<Real, n>& mask, const Vector<Real, n>& a, const Vector<Real, n>& b) {
    return {select(mask, a.x, b.x), select(mask, a.y, b.y), select(mask, a.z, b.z)};
}

// The whole batch: what is read, and where results go (three rows of `n_runs` each).
template <class Real>
struct Batch {
    const Real* rho;
    long n_runs;
    double t_end, rtol, atol;
    control::Law law;
    long n_steps;
    int n_threads;
    Real* end;
    std::int32_t* counts;

    void leave(long run, Real x, Real y, Real z, int status, long steps, long rejected) const {
        end[run] = x;
        end[n_runs + run] = y;
        end[2 * n_runs + run] = z;
        counts[run] = status;
        counts[n_runs + run] = static_cast<std::int32_t>(steps);
        counts[2 * n_runs + run] = static_cast<std::int32_t>(rejected);
    }
};

template <class Work>
void on_all_threads(int n_threads, const Work& work) {
    std::vector<std::thread> threads;
    for (int i = 1; i < n_threads; ++i) threads.emplace_back(work);
    work();
    for (auto& thread : threads) thread.join();
}

template <class Real>
inline bool finite(Real x) {
    return x - x == 0;
}

struct ClassicalRk4 {
    template <class Real, int n>
    static Vector<Real, n> integrate(Vector<Real, n> s, const Lanes<Real, n>& rho, double dt, long n_steps) {
        for (long i = 0; i < n_steps; ++i) {
            const auto k1 = rate(s, rho);
            const auto k2 = rate(along(s, dt / 2, k1), rho);
            const auto k3 = rate(along(s, dt / 2, k2), rho);
            const auto k4 = rate(along(s, dt, k3), rho);
            s = along(along(along(along(s, dt / 6, k1), dt / 3, k2), dt / 3, k3), dt / 6, k4);
        }
        return s;
    }
};

struct Tsit5 {
    template <class Real, int n>
    static Vector<Real, n> integrate(Vector<Real, n> s, const Lanes<Real, n>& rho, double dt, long n_steps) {
        using namespace tsit5;
        for (long i = 0; i < n_steps; ++i) {
            const auto k1 = rate(s, rho);
            const auto k2 = rate(along(s, dt * a21, k1), rho);
            const auto k3 = rate(along(along(s, dt * a31, k1), dt * a32, k2), rho);
            const auto k4 = rate(along(along(along(s, dt * a41, k1), dt * a42, k2), dt * a43, k3), rho);
            const auto k5 = rate(
                along(along(along(along(s, dt * a51, k1), dt * a52, k2), dt * a53, k3), dt * a54, k4), rho);
            const auto to5 = along(along(along(along(s, dt * a61, k1), dt * a62, k2), dt * a63, k3), dt * a64, k4);
            const auto k6 = rate(along(to5, dt * a65, k5), rho);
            const auto to4 = along(along(along(along(s, dt * b1, k1), dt * b2, k2), dt * b3, k3), dt * b4, k4);
            s = along(along(to4, dt * b5, k5), dt * b6, k6);
        }
        return s;
    }
};

// Steps of one length: groups of neighbours, what is not finite at the end has failed.
template <class Method, class Real, int n>
void fixed(const Batch<Real>& batch) {
    constexpr int width = n * per_register<Real>;
    std::atomic<long> next{0};
    const double dt = batch.t_end / static_cast<double>(batch.n_steps);
    on_all_threads(batch.n_threads, [&] {
        for (long first; (first = next.fetch_add(width)) < batch.n_runs;) {
            const long n_here = std::min<long>(width, batch.n_runs - first);
            Lanes<Real, n> rho = all<Real, n>(0);
            std::memcpy(&rho, batch.rho + first, n_here * sizeof(Real));
            const Vector<Real, n> start{all<Real, n>(1), all<Real, n>(0), all<Real, n>(0)};
            const auto s = Method::template integrate<Real, n>(start, rho, dt, batch.n_steps);
            Real x[width], y[width], z[width];
            std::memcpy(x, &s.x, sizeof x);
            std::memcpy(y, &s.y, sizeof y);
            std::memcpy(z, &s.z, sizeof z);
            for (long i = 0; i < n_here; ++i) {
                const int status = finite(x[i]) && finite(y[i]) && finite(z[i]) ? success : non_finite;
                batch.leave(first + i, x[i], y[i], z[i], status, batch.n_steps, 0);
            }
        }
    });
}

// Runs that wait, handed to threads in blocks.
class Queue {
   public:
    Queue(std::atomic<long>& next, long n_runs) : next_(next), n_runs_(n_runs) {}

    // The next run; -1 when there is none.
    long take() {
        if (first_ == last_) {
            first_ = next_.fetch_add(runs_at_once);
            last_ = std::min(first_ + runs_at_once, n_runs_);
            if (first_ >= last_) {
                first_ = last_ = 0;
                return -1;
            }
        }
        return first_++;
    }

   private:
    std::atomic<long>& next_;
    long n_runs_, first_ = 0, last_ = 0;
};

// Where the runs of a group stand.
template <class Real, int n>
struct Progress {
    Vector<Real, n> s, k1;
    Lanes<Real, n> rho, t, length, last_error, most;
    Mask<Real, n> n_steps, n_rejected, busy;
};

template <class Real, int n>
inline Lanes<Real, n> squares(const Vector<Real, n>& v, const Lanes<Real, n>& x, const Lanes<Real, n>& y,
                              const Lanes<Real, n>& z, const Batch<Real>& batch) {
    const auto rtol = all<Real, n>(Real(batch.rtol)), atol = all<Real, n>(Real(batch.atol));
    const auto rx = v.x / fma(rtol, x, atol), ry = v.y / fma(rtol, y, atol), rz = v.z / fma(rtol, z, atol);
    return fma(rz, rz, fma(ry, ry, rx * rx));
}

template <class Real, int n>
inline Lanes<Real, n> norm(const Vector<Real, n>& v, const Vector<Real, n>& s, const Batch<Real>& batch) {
    const auto sum = squares(v, absolute(s.x), absolute(s.y), absolute(s.z), batch);
    return root(sum * all<Real, n>(Real(1.0 / 3.0)));
}

// Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.4, with a millionth of the interval for very small numbers.
template <class Real, int n>
inline Lanes<Real, n> first_step(const Vector<Real, n>& s, const Vector<Real, n>& k1, const Lanes<Real, n>& rho,
                                 const Batch<Real>& batch) {
    const auto end = all<Real, n>(Real(batch.t_end)), negligible = all<Real, n>(Real(1e-5));
    const auto size = norm(s, s, batch), speed = norm(k1, s, batch);
    const auto flat = at_most(size, negligible) | at_most(speed, negligible);
    const auto plain = all<Real, n>(Real(0.01)) * size / speed;
    const auto guess = smaller(select(flat, all<Real, n>(Real(1e-6)) * end, plain), end);
    const auto k2 = rate(along(s, guess, k1), rho);
    const auto bend = larger(speed, norm(along(k2, -1.0, k1), s, batch) / guess);
    const auto bent = exp2(all<Real, n>(Real(1 / control::order)) * log2(all<Real, n>(Real(0.01)) / bend));
    return smaller(smaller(all<Real, n>(100) * guess, bent), end);
}

// Store the runs that have ended, and let waiting ones take their lanes.
template <class Real, int n>
[[gnu::noinline]] Progress<Real, n> refilled(Progress<Real, n> p, const Mask<Real, n>& ended,
                                             const Mask<Real, n>& status, long* run, Queue& queue,
                                             const Batch<Real>& batch) {
    constexpr int width = n * per_register<Real>;
    using Integer = std::conditional_t<sizeof(Real) == 4, std::int32_t, std::int64_t>;
    Real x[width], y[width], z[width], rho[width];
    Integer is_ended[width], code[width], steps[width], rejected[width], busy[width], fresh[width];
    const auto spread = [](auto& array, const auto& group) { std::memcpy(array, &group, sizeof array); };
    spread(x, p.s.x), spread(y, p.s.y), spread(z, p.s.z), spread(rho, p.rho), spread(is_ended, ended);
    spread(code, status), spread(steps, p.n_steps), spread(rejected, p.n_rejected), spread(busy, p.busy);
    for (int i = 0; i < width; ++i) {
        fresh[i] = 0;
        if (!is_ended[i]) continue;
        if (run[i] >= 0) batch.leave(run[i], x[i], y[i], z[i], int(code[i]), steps[i], rejected[i]);
        run[i] = queue.take();
        busy[i] = fresh[i] = run[i] >= 0 ? -1 : 0;
        if (run[i] >= 0) rho[i] = batch.rho[run[i]];
    }
    Mask<Real, n> is_fresh;
    std::memcpy(&is_fresh, fresh, sizeof fresh);
    std::memcpy(&p.busy, busy, sizeof busy);
    std::memcpy(&p.rho, rho, sizeof rho);
    const Vector<Real, n> start{all<Real, n>(1), all<Real, n>(0), all<Real, n>(0)};
    const auto k1 = rate(start, p.rho);
    const auto zero = all<Real, n>(0);
    const Mask<Real, n> none{};
    return {select(is_fresh, start, p.s), select(is_fresh, k1, p.k1), p.rho, select(is_fresh, zero, p.t),
            select(is_fresh, first_step(start, k1, p.rho, batch), p.length), select(is_fresh, zero, p.last_error),
            select(is_fresh, all<Real, n>(Real(control::most)), p.most), select(is_fresh, none, p.n_steps),
            select(is_fresh, none, p.n_rejected), p.busy};
}

template <class Real, int n>
void adaptive_thread(const Batch<Real>& batch, std::atomic<long>& next) {
    using namespace tsit5;
    constexpr int width = n * per_register<Real>;
    const auto end = all<Real, n>(Real(batch.t_end)), zero = all<Real, n>(0), one = all<Real, n>(1);
    const auto shortest = all<Real, n>(Real(batch.t_end * (sizeof(Real) == 4 ? 1e-13 : 1e-18)));
    const auto least = all<Real, n>(Real(control::least)), safety = all<Real, n>(Real(control::safety));
    const auto set_point = all<Real, n>(Real(batch.law.set_point));
    const auto number = [](int value) {
        Mask<Real, n> answer;
        EACH(answer.part[i] = Flags<Real>{} + value);
    };
    Queue queue(next, batch.n_runs);
    long run[width];
    std::fill_n(run, width, -1L);
    auto p = refilled(Progress<Real, n>{}, number(-1), number(0), run, queue, batch);
    Mask<Real, n> waiting{}, status{};
    int idle = 0;
    while (any(p.busy)) {
        const auto left = end - p.t;
        const auto is_last = at_most(left, p.length * all<Real, n>(Real(control::stretch)));
        const auto dt = select(is_last, left, p.length);
        const auto& k1 = p.k1;
        const auto k2 = rate(along(p.s, dt, times(a21, k1)), p.rho);
        const auto k3 = rate(along(p.s, dt, along(times(a31, k1), a32, k2)), p.rho);
        const auto k4 = rate(along(p.s, dt, along(along(times(a41, k1), a42, k2), a43, k3)), p.rho);
        const auto k5 = rate(along(p.s, dt, along(along(along(times(a51, k1), a52, k2), a53, k3), a54, k4)), p.rho);
        const auto sum6 = along(along(along(along(times(a61, k1), a62, k2), a63, k3), a64, k4), a65, k5);
        const auto k6 = rate(along(p.s, dt, sum6), p.rho);
        const auto sum5 = along(along(along(along(times(b1, k1), b2, k2), b3, k3), b4, k4), b5, k5);
        const auto y = along(p.s, dt, along(sum5, b6, k6));
        const auto k7 = rate(y, p.rho);
        const auto part = along(along(along(along(times(e1, k1), e2, k2), e3, k3), e4, k4), e5, k5);
        const auto error = along(along(part, e6, k6), e7, k7);
        const auto squared = dt * dt * all<Real, n>(Real(1.0 / 3.0)) *
            squares(error, larger(absolute(p.s.x), absolute(y.x)), larger(absolute(p.s.y), absolute(y.y)),
                    larger(absolute(p.s.z), absolute(y.z)), batch);
        const auto accepted = at_most(squared, one) & p.busy;
        const auto half = all<Real, n>(Real(0.5)), least_error = all<Real, n>(Real(control::least_error));
        const auto log_error = larger(half * log2(squared), least_error);
        const auto direct = fma(all<Real, n>(Real(batch.law.of_error)), log_error, set_point);
        const auto steered = fma(all<Real, n>(Real(batch.law.of_last_error)), p.last_error, direct);
        const auto retried = smaller(fma(all<Real, n>(Real(control::of_rejected)), log_error, safety), zero);
        const auto log_gain = larger(select(accepted, smaller(steered, p.most), retried), least);
        const auto tame = at_most(squared, all<Real, n>(Real(control::huge)));
        p.length = dt * exp2(select(tame, log_gain, least));
        p.most = select(accepted, all<Real, n>(Real(control::most)), zero);
        const auto remembered = larger(log_error, all<Real, n>(Real(control::least_remembered)));
        p.last_error = select(accepted, remembered, p.last_error);
        p.s = select(accepted, y, p.s);
        p.k1 = select(accepted, k7, p.k1);
        p.t = select(accepted, p.t + dt, p.t);
        p.n_steps = p.n_steps - p.busy;
        p.n_rejected = p.n_rejected - p.busy + accepted;
        const auto arrived = accepted & is_last, stuck = at_most(p.length, shortest);
        Mask<Real, n> spent;
        for (int i = 0; i < n; ++i) spent.part[i] = p.n_steps.part[i] >= budget;
        const auto ended = (arrived | stuck | spent) & p.busy;
        if (any(ended)) {
            const auto cause = select(tame, number(step_too_small), number(non_finite));
            const auto failure = select(stuck, cause, number(max_steps_reached));
            status = select(ended, select(arrived, number(success), failure), status);
            waiting = waiting | ended;
            p.busy = p.busy - ended;
        }
        // Lanes wait until together they have lost as many steps as the start of new runs costs all of them.
        idle += count(waiting);
        if (idle >= patience * width || !any(p.busy)) {
            p = refilled(Progress<Real, n>(p), waiting, status, run, queue, batch);
            waiting = Mask<Real, n>{};
            idle = 0;
        }
    }
}

template <class Real, int n>
void adaptive(const Batch<Real>& batch) {
    std::atomic<long> next{0};
    on_all_threads(batch.n_threads, [&] { adaptive_thread<Real, n>(batch, next); });
}

template <class Real, int n>
void solve_as(int method, const Batch<Real>& batch) {
    if (method == 0) {
        fixed<ClassicalRk4, Real, n>(batch);
    } else if (method == 1) {
        fixed<Tsit5, Real, n>(batch);
    } else {
        adaptive<Real, n>(batch);
    }
}

template <class Real>
int solve(int method, int width, const Batch<Real>& batch) {
    switch (width * static_cast<int>(sizeof(Real))) {
        case register_bytes:
            solve_as<Real, 1>(method, batch);
            return 0;
        case 2 * register_bytes:
            solve_as<Real, 2>(method, batch);
            return 0;
        case 4 * register_bytes:
            solve_as<Real, 4>(method, batch);
            return 0;
        default:
            return 1;
    }
}

}  // namespace

// Methods: 0 is classical-rk4, 1 is tsit5, both of `n_steps` equal steps from 0 to `t_end`; 2 is adaptive tsit5. The
// width must fill one, two or four registers; the answer is 0, or 1 where it does not.
extern "C" int solve_float32(int method, int width, int n_threads, const float* rho, long n_runs, double t_end,
                             long n_steps, double rtol, double atol, const control::Law* law, float* end,
                             std::int32_t* counts) {
    return solve(method, width, Batch<float>{rho, n_runs, t_end, rtol, atol, *law, n_steps, n_threads, end, counts});
}

extern "C" int solve_float64(int method, int width, int n_threads, const double* rho, long n_runs, double t_end,
                             long n_steps, double rtol, double atol, const control::Law* law, double* end,
                             std::int32_t* counts) {
    return solve(method, width, Batch<double>{rho, n_runs, t_end, rtol, atol, *law, n_steps, n_threads, end, counts});
}

extern "C" int bytes_of_a_register() { return register_bytes; }
