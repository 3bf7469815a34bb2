# mlmmj in the releases of Debian 12 and 13, as trees /opt/mlmmj/a and b. Read by manager.sh.

packages=(patchelf)

furnish() {
    local tree suite program loader libraries
    for tree in a:bookworm b:trixie; do
        suite=${tree#*:} tree=/opt/mlmmj/${tree%:*}
        unpack "$suite" mlmmj "$scratch/$suite-mlmmj"
        mkdir -p "$half$tree/share"
        mv "$scratch/$suite-mlmmj/usr/bin" "$half$tree/bin"
        mv "$scratch/$suite-mlmmj/usr/share/mlmmj" "$half$tree/share/mlmmj"
        if ! in_half "$tree/bin/mlmmj-receive" -V; then
            # Built for a newer C library than this release's: it gets that one beside it.
            unpack "$suite" libc6 "$scratch/$suite-libc"
            mv "$scratch/$suite-libc/usr/lib" "$half$tree/lib"
            loader=$(cd "$half$tree" && find lib -name 'ld-linux*.so.*' -type f | head -n 1)
            libraries=$(cd "$half$tree" && dirname "$(find lib -name libc.so.6 | head -n 1)")
            for program in "$half$tree"/bin/*; do
                if [ -L "$program" ] || [ "$(head -c 4 "$program")" != $'\x7fELF' ]; then continue; fi
                in_half patchelf --set-interpreter "$tree/$loader" --set-rpath "$tree/$libraries" \
                    "${program#"$half"}"
            done
        fi
        in_half "$tree/bin/mlmmj-receive" -V
    done
    # Who owns the lists: mlmmj serves nobody else but root.
    in_half useradd --system --create-home --home-dir /var/spool/mlmmj --shell /bin/sh mlmmj
}
