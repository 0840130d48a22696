// Coefficients of the methods, and of the controller, that the hand-written floors take.
#pragma once

// Tsitouras (2011), Comput. Math. Appl. 62(2), 770-775. The weights `e` of the error estimate are `b` less the embedded
// method's.
namespace tsit5 {
constexpr double a21 = 0.161;
constexpr double a31 = -0.00848065549235698854, a32 = 0.335480655492356988544;
constexpr double a41 = 2.89715305710549343213, a42 = -6.35944848997507484315, a43 = 4.36229543286958141102;
constexpr double a51 = 5.32586482843925660443, a52 = -11.748883564062827877747, a53 = 7.49553934288983620830;
constexpr double a54 = -0.0924950663617552492565;
constexpr double a61 = 5.86145544294642002866, a62 = -12.9209693178471092917, a63 = 8.15936789857615864318;
constexpr double a64 = -0.0715849732814009972245, a65 = -0.0282690503940683829090;
constexpr double b1 = 0.0964607668180652295182, b2 = 0.01, b3 = 0.479889650414499574775, b4 = 1.37900857410374189319;
constexpr double b5 = -3.29006951543608067990, b6 = 2.3247105240997739824;
constexpr double e1 = b1 - 0.09468075576583945807479, e2 = b2 - 0.00918356554034325309678;
constexpr double e3 = b3 - 0.48777052842476157078556, e4 = b4 - 1.234297566930478985655109;
constexpr double e5 = b5 + 2.707712349983525454881, e6 = b6 - 1.866628418170587035754, e7 = -1.0 / 66.0;
}  // namespace tsit5

// What all controllers share, for an error that shrinks as dt^5; logarithms are to base 2.
namespace control {
constexpr double order = 5, safety = -0.15200309344504997, of_rejected = -1.0 / order;  // log2(0.9)
constexpr double least = -2.321928094887362, most = 3.321928094887362;                  // log2 of 0.2 and of 10
constexpr double least_error = -64, least_remembered = -13.287712379549449;             // log2(1e-4)
constexpr double stretch = 1.01, huge = 1e30;

// How the next step follows the logarithm of this error, and of the error of the last accepted step.
struct Law {
    double of_error, of_last_error, set_point;
};
}  // namespace control
