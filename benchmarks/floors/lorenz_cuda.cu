// The Lorenz system over many values of rho, by hand: one thread a run, its state in registers, nothing general.
//
//     lorenz_cuda METHOD PRECISION N_RUNS RTOL ATOL OF_ERROR OF_LAST_ERROR SET_POINT REPEATS [END_FILE COUNTS_FILE]
//
// METHOD is rk4, tsit5 (both 1,000 steps over t in [0, 1]), or nested, chained: adaptive tsit5 with sums of stages
// formed in one of two ways, and a controller of the numbers given. One line of JSON tells the milliseconds of every
// launch, by events around it alone; the files get the end states (3, n_runs), and status, steps and rejected steps
// (3, n_runs).
//
//     lorenz_cuda link N_BYTES REPEATS
//
// tells how many seconds each copy of so many bytes from the GPU to pinned memory took.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tableaus.h"

#define CHECK(call)                                                                                    \
    do {                                                                                               \
        const cudaError_t answer = (call);                                                             \
        if (answer != cudaSuccess) {                                                                   \
            std::fprintf(stderr, "%s: %s (line %d)\n", #call, cudaGetErrorString(answer), __LINE__); \
            std::exit(1);                                                                              \
        }                                                                                              \
    } while (0)

constexpr int block_size = 128, n_fixed_steps = 1000, n_warm_up = 3, budget = 100000;
constexpr double t_end = 1.0, rho_end = 21.0;
constexpr int success = 0, max_steps_reached = 2, step_too_small = 3, non_finite = 4;

template <class Real>
struct Vector {
    Real x, y, z;
};

// Where runs are read from and written to; `end` and `counts` have three rows of `n_runs`.
template <class Real>
struct Batch {
    const Real* __restrict__ rho;
    Real* __restrict__ end;
    Real* __restrict__ t_final;
    int* __restrict__ counts;
    int n_runs;
};

template <class Real>
__device__ __forceinline__ Vector<Real> rate(const Vector<Real>& s, Real rho) {
    return {Real(10) * (s.y - s.x), fma(s.x, rho - s.z, -s.y), fma(Real(-8.0 / 3.0), s.z, s.x * s.y)};
}

// s + h*k
template <class Real>
__device__ __forceinline__ Vector<Real> along(const Vector<Real>& s, Real h, const Vector<Real>& k) {
    return {fma(h, k.x, s.x), fma(h, k.y, s.y), fma(h, k.z, s.z)};
}

template <class Real>
__device__ __forceinline__ Vector<Real> times(Real c, const Vector<Real>& k) {
    return {c * k.x, c * k.y, c * k.z};
}

template <class Real>
__device__ __forceinline__ void leave(const Batch<Real>& batch, int run, const Vector<Real>& s, Real t, int status,
                                      int n_steps, int n_rejected) {
    const size_t n = batch.n_runs;
    batch.end[run] = s.x;
    batch.end[n + run] = s.y;
    batch.end[2 * n + run] = s.z;
    batch.t_final[run] = t;
    batch.counts[run] = status;
    batch.counts[n + run] = n_steps;
    batch.counts[2 * n + run] = n_rejected;
}

// What is not finite once stays so, thus a run of fixed steps is judged at its end.
template <class Real>
__device__ __forceinline__ int judge(const Vector<Real>& s) {
    return isfinite(s.x) && isfinite(s.y) && isfinite(s.z) ? success : non_finite;
}

template <class Real>
__global__ void __launch_bounds__(block_size) rk4(Batch<Real> batch, Real dt, int n_steps) {
    const int run = blockIdx.x * block_size + threadIdx.x;
    if (run >= batch.n_runs) return;
    const Real rho = batch.rho[run], half = dt / 2, third = dt / 3, sixth = dt / 6;
    Vector<Real> s{1, 0, 0};
    for (int i = 0; i < n_steps; ++i) {
        const auto k1 = rate(s, rho);
        const auto k2 = rate(along(s, half, k1), rho);
        const auto k3 = rate(along(s, half, k2), rho);
        const auto k4 = rate(along(s, dt, k3), rho);
        s = along(along(along(along(s, sixth, k1), third, k2), third, k3), sixth, k4);
    }
    leave(batch, run, s, Real(n_steps * dt), judge(s), n_steps, 0);
}

template <class Real>
__global__ void __launch_bounds__(block_size) tsit5_fixed(Batch<Real> batch, Real dt, int n_steps) {
    using namespace tsit5;
    const int run = blockIdx.x * block_size + threadIdx.x;
    if (run >= batch.n_runs) return;
    const Real rho = batch.rho[run];
    const Real h21 = dt * Real(a21), h31 = dt * Real(a31), h32 = dt * Real(a32), h41 = dt * Real(a41);
    const Real h42 = dt * Real(a42), h43 = dt * Real(a43), h51 = dt * Real(a51), h52 = dt * Real(a52);
    const Real h53 = dt * Real(a53), h54 = dt * Real(a54), h61 = dt * Real(a61), h62 = dt * Real(a62);
    const Real h63 = dt * Real(a63), h64 = dt * Real(a64), h65 = dt * Real(a65), h1 = dt * Real(b1);
    const Real h2 = dt * Real(b2), h3 = dt * Real(b3), h4 = dt * Real(b4), h5 = dt * Real(b5), h6 = dt * Real(b6);
    Vector<Real> s{1, 0, 0};
    for (int i = 0; i < n_steps; ++i) {
        const auto k1 = rate(s, rho);
        const auto k2 = rate(along(s, h21, k1), rho);
        const auto k3 = rate(along(along(s, h31, k1), h32, k2), rho);
        const auto k4 = rate(along(along(along(s, h41, k1), h42, k2), h43, k3), rho);
        const auto k5 = rate(along(along(along(along(s, h51, k1), h52, k2), h53, k3), h54, k4), rho);
        const auto k6 = rate(along(along(along(along(along(s, h61, k1), h62, k2), h63, k3), h64, k4), h65, k5), rho);
        s = along(along(along(along(along(along(s, h1, k1), h2, k2), h3, k3), h4, k4), h5, k5), h6, k6);
    }
    leave(batch, run, s, Real(n_steps * dt), judge(s), n_steps, 0);
}

// A reciprocal good to 20 bits or more: a step's length needs no better.
__device__ __forceinline__ float rough_reciprocal(float x) {
    float answer;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(answer) : "f"(x));
    return answer;
}

__device__ __forceinline__ double rough_reciprocal(double x) {
    double answer;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(answer) : "d"(x));
    return answer;
}

__device__ __forceinline__ float exp2_fast(float x) {
    float answer;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(answer) : "f"(x));
    return answer;
}

__device__ __forceinline__ float log2_fast(float x) {
    float answer;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(answer) : "f"(x));
    return answer;
}

template <class Real>
__device__ __forceinline__ Vector<Real> chosen(bool first, const Vector<Real>& a, const Vector<Real>& b) {
    return {first ? a.x : b.x, first ? a.y : b.y, first ? a.z : b.z};
}

// The larger magnitude; in float64 the library's maximum takes three instructions more.
__device__ __forceinline__ float larger(float a, float b) { return fmaxf(fabsf(a), fabsf(b)); }
__device__ __forceinline__ double larger(double a, double b) { return fabs(fabs(a) > fabs(b) ? a : b); }

// What the tolerances allow a state of the given magnitude, and the sum of squares of `v` in units of it.
template <class Real>
struct Tolerances {
    Real rtol, atol;
};

template <class Real>
__device__ __forceinline__ Real in_units_of(const Vector<Real>& v, const Vector<Real>& magnitude,
                                                 Tolerances<Real> allowed) {
    const Real x = v.x * rough_reciprocal(fma(allowed.rtol, magnitude.x, allowed.atol));
    const Real y = v.y * rough_reciprocal(fma(allowed.rtol, magnitude.y, allowed.atol));
    const Real z = v.z * rough_reciprocal(fma(allowed.rtol, magnitude.z, allowed.atol));
    return fma(z, z, fma(y, y, x * x));
}

template <class Real>
__device__ __forceinline__ Vector<Real> absolute(const Vector<Real>& v) {
    return {fabs(v.x), fabs(v.y), fabs(v.z)};
}

template <class Real>
__device__ __forceinline__ Vector<Real> larger(const Vector<Real>& a, const Vector<Real>& b) {
    return {larger(a.x, b.x), larger(a.y, b.y), larger(a.z, b.z)};
}

// Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.4, with a millionth of the interval for very small numbers.
template <class Real>
__device__ __forceinline__ Real first_step(const Vector<Real>& s, const Vector<Real>& k1, Real rho, Real length,
                                                Tolerances<Real> allowed) {
    const auto magnitude = absolute(s);
    const Real third = Real(1.0 / 3.0);
    const Real size = sqrt(third * in_units_of(s, magnitude, allowed));
    const Real speed = sqrt(third * in_units_of(k1, magnitude, allowed));
    const bool flat = size < Real(1e-5) || speed < Real(1e-5);
    const Real guess = min(flat ? Real(1e-6) * length : Real(0.01) * size * rough_reciprocal(speed), length);
    const auto k2 = rate(along(s, guess, k1), rho);
    const Real curved = sqrt(third * in_units_of(along(k2, Real(-1), k1), magnitude, allowed));
    const float bend = float(larger(speed, curved * rough_reciprocal(guess)));
    const Real bent = exp2_fast((log2_fast(0.01f) - log2_fast(bend)) * float(1 / control::order));
    return min(min(100 * guess, bent), length);
}

// The weighted sum dt*(c1*k1 + c2*k2 + ...) + s, either with dt outside (`nested`) or with dt times each coefficient
// formed first, which takes more multiplications by constants and fewer by rates.
template <bool nested, class Real>
struct Sum {
    const Vector<Real>& start;
    Real dt;

    template <class... Terms>
    __device__ __forceinline__ Vector<Real> operator()(double c, const Vector<Real>& k, Terms... rest) const {
        if constexpr (nested) {
            return along(start, dt, added(times(Real(c), k), rest...));
        } else {
            return chained(start, c, k, rest...);
        }
    }

    __device__ __forceinline__ static Vector<Real> added(const Vector<Real>& sum) { return sum; }

    template <class... Terms>
    __device__ __forceinline__ static Vector<Real> added(const Vector<Real>& sum, double c, const Vector<Real>& k,
                                                         Terms... rest) {
        return added(along(sum, Real(c), k), rest...);
    }

    __device__ __forceinline__ Vector<Real> chained(const Vector<Real>& sum) const { return sum; }

    template <class... Terms>
    __device__ __forceinline__ Vector<Real> chained(const Vector<Real>& sum, double c, const Vector<Real>& k,
                                                    Terms... rest) const {
        return chained(along(sum, dt * Real(c), k), rest...);
    }
};

struct Law {
    float of_error, of_last_error, set_point;
};

template <bool nested, class Real>
__global__ void __launch_bounds__(block_size) adaptive(Batch<Real> batch, Real end, Tolerances<Real> allowed, Law law,
                                                          int max_steps) {
    using namespace tsit5;
    const int run = blockIdx.x * block_size + threadIdx.x;
    if (run >= batch.n_runs) return;
    const Real rho = batch.rho[run], shortest = end * (sizeof(Real) == 4 ? Real(1e-13) : Real(1e-18));
    Vector<Real> s{1, 0, 0};
    auto k1 = rate(s, rho);
    Real t = 0, length = first_step(s, k1, rho, end, allowed);
    float last_error = 0, most = control::most;
    int n_steps = 0, n_rejected = 0, status = max_steps_reached;
    while (n_steps < max_steps) {
        ++n_steps;
        const Real left = end - t;
        const bool is_last = length * Real(control::stretch) >= left;
        const Real dt = is_last ? left : length;
        const Sum<nested, Real> to{s, dt};
        const auto k2 = rate(to(a21, k1), rho);
        const auto k3 = rate(to(a31, k1, a32, k2), rho);
        const auto k4 = rate(to(a41, k1, a42, k2, a43, k3), rho);
        const auto k5 = rate(to(a51, k1, a52, k2, a53, k3, a54, k4), rho);
        const auto k6 = rate(to(a61, k1, a62, k2, a63, k3, a64, k4, a65, k5), rho);
        const auto next = to(b1, k1, b2, k2, b3, k3, b4, k4, b5, k5, b6, k6);
        const auto k7 = rate(next, rho);
        const auto error = to.added(times(Real(e1), k1), e2, k2, e3, k3, e4, k4, e5, k5, e6, k6, e7, k7);
        const Real squared = dt * dt * Real(1.0 / 3.0) * in_units_of(error, larger(s, next), allowed);
        const bool accepted = squared <= 1;
        const float log_error = fmaxf(0.5f * log2_fast(float(squared)), float(control::least_error));
        const float proportional = fmaf(law.of_error, log_error, law.set_point);
        const float steered = fmaf(law.of_last_error, last_error, proportional);
        const float retried = fminf(fmaf(float(control::of_rejected), log_error, float(control::safety)), 0.0f);
        const float log_gain = fmaxf(accepted ? fminf(steered, most) : retried, float(control::least));
        length = dt * Real(exp2_fast(log_gain));
        most = accepted ? float(control::most) : 0.0f;
        last_error = accepted ? fmaxf(log_error, float(control::least_remembered)) : last_error;
        s = chosen(accepted, next, s);
        k1 = chosen(accepted, k7, k1);
        t = accepted ? t + dt : t;
        n_rejected += !accepted;
        if (accepted && is_last) {
            t = end;
            status = success;
            break;
        }
        if (length < shortest) {
            status = squared < Real(control::huge) ? step_too_small : non_finite;
            break;
        }
    }
    leave(batch, run, s, t, status, n_steps, n_rejected);
}

struct Request {
    const char* method;
    int n_runs;
    double rtol, atol;
    control::Law law;
    int repeats;
};

template <class Real>
void launch(const Request& request, const Batch<Real>& batch) {
    const int n_blocks = (batch.n_runs + block_size - 1) / block_size;
    const Real dt = Real(t_end / n_fixed_steps);
    if (std::strcmp(request.method, "rk4") == 0) {
        rk4<Real><<<n_blocks, block_size>>>(batch, dt, n_fixed_steps);
    } else if (std::strcmp(request.method, "tsit5") == 0) {
        tsit5_fixed<Real><<<n_blocks, block_size>>>(batch, dt, n_fixed_steps);
    } else {
        const auto kernel = std::strcmp(request.method, "chained") == 0 ? adaptive<false, Real> : adaptive<true, Real>;
        const Law law{float(request.law.of_error), float(request.law.of_last_error), float(request.law.set_point)};
        const Tolerances<Real> allowed{Real(request.rtol), Real(request.atol)};
        kernel<<<n_blocks, block_size>>>(batch, Real(t_end), allowed, law, budget);
    }
    CHECK(cudaGetLastError());
}

template <class Real>
std::vector<float> timed(const Request& request, const Batch<Real>& batch) {
    std::vector<float> milliseconds(request.repeats);
    cudaEvent_t first, last;
    CHECK(cudaEventCreate(&first));
    CHECK(cudaEventCreate(&last));
    for (int i = -n_warm_up; i < request.repeats; ++i) {
        launch(request, batch);  // keeps the device busy until the launch that is timed stands in its queue
        CHECK(cudaEventRecord(first));
        launch(request, batch);
        CHECK(cudaEventRecord(last));
        CHECK(cudaEventSynchronize(last));
        float taken;
        CHECK(cudaEventElapsedTime(&taken, first, last));
        if (i >= 0) milliseconds[i] = taken;
    }
    return milliseconds;
}

template <class Item>
void keep(const char* path, const Item* on_device, size_t n) {
    std::vector<Item> items(n);
    CHECK(cudaMemcpy(items.data(), on_device, n * sizeof(Item), cudaMemcpyDeviceToHost));
    std::FILE* file = std::fopen(path, "wb");
    if (!file || std::fwrite(items.data(), sizeof(Item), n, file) != n || std::fclose(file) != 0) {
        std::fprintf(stderr, "%s must be writable, and there must be room for it.\n", path);
        std::exit(1);
    }
}

void tell(const char* name, const std::vector<float>& numbers) {
    std::printf("{\"%s\": [", name);
    for (size_t i = 0; i < numbers.size(); ++i) std::printf("%s%.6g", i ? ", " : "", numbers[i]);
    std::printf("]}\n");
}

// The seconds that copies from the device to pinned memory of the host take.
void link(size_t n_bytes, int repeats) {
    void *here, *there;
    CHECK(cudaMallocHost(&here, n_bytes));
    CHECK(cudaMalloc(&there, n_bytes));
    std::vector<float> seconds(repeats);
    cudaEvent_t first, last;
    CHECK(cudaEventCreate(&first));
    CHECK(cudaEventCreate(&last));
    for (int i = -n_warm_up; i < repeats; ++i) {
        float taken;
        CHECK(cudaEventRecord(first));
        CHECK(cudaMemcpyAsync(here, there, n_bytes, cudaMemcpyDeviceToHost));
        CHECK(cudaEventRecord(last));
        CHECK(cudaEventSynchronize(last));
        CHECK(cudaEventElapsedTime(&taken, first, last));
        if (i >= 0) seconds[i] = taken * 1e-3f;
    }
    tell("seconds", seconds);
    CHECK(cudaFreeHost(here));
    CHECK(cudaFree(there));
}

template <class Real>
void run(const Request& request, const char* end_path, const char* counts_path) {
    const size_t n = request.n_runs;
    std::vector<Real> rho(n);
    for (size_t i = 0; i < n; ++i) rho[i] = Real(i * (rho_end / (n > 1 ? n - 1 : 1)));
    Real *rho_there, *end, *t_final;
    int* counts;
    CHECK(cudaMalloc(&rho_there, n * sizeof(Real)));
    CHECK(cudaMalloc(&end, 3 * n * sizeof(Real)));
    CHECK(cudaMalloc(&t_final, n * sizeof(Real)));
    CHECK(cudaMalloc(&counts, 3 * n * sizeof(int)));
    CHECK(cudaMemcpy(rho_there, rho.data(), n * sizeof(Real), cudaMemcpyHostToDevice));
    const auto milliseconds = timed(request, Batch<Real>{rho_there, end, t_final, counts, request.n_runs});
    tell("milliseconds", milliseconds);
    if (end_path) {
        keep(end_path, end, 3 * n);
        keep(counts_path, counts, 3 * n);
    }
    CHECK(cudaFree(rho_there));
    CHECK(cudaFree(end));
    CHECK(cudaFree(t_final));
    CHECK(cudaFree(counts));
}

int main(int n_arguments, char** arguments) {
    if (n_arguments == 4 && std::strcmp(arguments[1], "link") == 0) {
        link(std::atoll(arguments[2]), std::atoi(arguments[3]));
        return 0;
    }
    if (n_arguments != 10 && n_arguments != 12) {
        std::fprintf(stderr, "lorenz_cuda must get 9 or 11 arguments, got %d. See its source.\n", n_arguments - 1);
        return 2;
    }
    const auto number = [arguments](int i) { return std::atof(arguments[i]); };
    const control::Law law{number(6), number(7), number(8)};
    const Request request{arguments[1], std::atoi(arguments[3]), number(4), number(5), law, std::atoi(arguments[9])};
    const char* end_path = n_arguments == 12 ? arguments[10] : nullptr;
    const char* counts_path = n_arguments == 12 ? arguments[11] : nullptr;
    if (std::strcmp(arguments[2], "float32") == 0) {
        run<float>(request, end_path, counts_path);
    } else {
        run<double>(request, end_path, counts_path);
    }
    return 0;
}
