# A browser, and the program by which a test leads it. Read by make.sh.

packages=(chromium chromium-driver fonts-dejavu-core)

furnish() {
    # Nothing is set up: a test says all that it wants on the command line.
    [ -x "$half/usr/bin/chromedriver" ]
}
