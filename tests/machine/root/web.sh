# Two web servers: Apache with mod_cgi, and nginx with fcgiwrap. Read by make.sh.

packages=(apache2 nginx-light fcgiwrap)

furnish() {
    # What Debian enables for a site stays; the prefork MPM and mod_cgi are what most hosts with
    # CGI programs have. Sites are the test's, made of what we ship (contrib/apache, contrib/nginx).
    in_half a2dismod --quiet --force mpm_event mpm_worker
    in_half a2enmod --quiet mpm_prefork cgi reqtimeout
    in_half a2dissite --quiet 000-default
    rm -f "$half/etc/nginx/sites-enabled/default"
}
