# The figures of build/bench/peers.dat (tables.py plot) as tests/bench/peers.svg: server CPU a
# message, beside other servers. Run by bench.sh from the top of the repository.
set terminal svg size 900,440 dynamic font "sans-serif,13" background rgb "white"
set output "tests/bench/peers.svg"
set title "CPU time of the server for one message, microseconds (logarithmic; less is better)"
set datafile separator "\t"
set datafile missing "-"
set style data histograms
set style histogram clustered gap 1.2
set style fill solid 0.9 noborder
set boxwidth 0.9
set logscale y
set yrange [0.2:60]
set ytics nomirror
set xtics nomirror scale 0
set grid ytics linecolor rgb "#dddddd"
set border 3 linecolor rgb "#888888"
set key top right horizontal
array colours[5] = ["#bbbbbb", "#0b63ce", "#e08a00", "#3a9d5d", "#a04fb0"]
plot for [i = 2:6] "build/bench/peers.dat" using i:xticlabels(1) title columnheader(i) \
    linecolor rgb colours[i - 1]
