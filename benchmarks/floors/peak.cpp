// How many multiply-adds a second all threads make, in vectors of 64 bytes and one by one: the ceiling of lanes.
//   g++ -O3 -march=native -fno-tree-vectorize -pthread benchmarks/floors/peak.cpp -o peak && ./peak

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

typedef double Vector __attribute__((vector_size(64)));
constexpr int N_CHAINS = 12;  // more than a multiply-add takes cycles
constexpr long N_ROUNDS = 20'000'000;

template <class Number> void multiply_add(double *out) {
    Number sums[N_CHAINS], factor = Number{} + 0.999999, term = Number{} + 1e-9;
    for (int i = 0; i < N_CHAINS; i++) sums[i] = Number{} + double(i);
    for (long round = 0; round < N_ROUNDS; round++)
#pragma GCC unroll 12
        for (int i = 0; i < N_CHAINS; i++) sums[i] = sums[i] * factor + term;
    Number total{};
    for (Number sum : sums) total += sum;
    *out = *reinterpret_cast<double *>(&total);
}

double billions_a_second(void (*work)(double *), unsigned n_threads) {
    std::vector<double> out(n_threads);
    double best = 0.0;
    for (int repeat = 0; repeat < 5; repeat++) {
        auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < n_threads; i++) threads.emplace_back(work, &out[i]);
        for (auto &thread : threads) thread.join();
        std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
        double rate = double(n_threads) * N_ROUNDS * N_CHAINS / taken.count() * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

int main() {
    for (unsigned n : {1u, std::thread::hardware_concurrency()})
        std::printf("%u threads: %.2f billion vectors, %.2f billion numbers a second\n", n,
                    billions_a_second(multiply_add<Vector>, n), billions_a_second(multiply_add<double>, n));
}
